"""What can draw: one file for each backend, with one function, `draw(client, settings, request)`.

The client has the backend's base URL, time limit and bearer token. A backend that cannot be reached raises httpx's
errors; one that returns something else raises a ValueError; one that gives a reason raises an `ApiError`.
"""
