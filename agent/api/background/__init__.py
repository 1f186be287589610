"""What runs beside the requests: batches, and watching the policy files."""
