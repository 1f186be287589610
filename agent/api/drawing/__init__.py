"""What can draw: one file each, one function each, `draw(client, settings, order)`.

The client has the backend's base URL, time limit and bearer token. A backend that cannot be reached raises httpx's
errors, one that answers something else a ValueError, and one that says why it does not draw an `ApiError`.
"""
