"""What commands share: console, progress, and work that can be resumed."""
