"""What commands share: console, progress bars, loading with clear errors, and files that an interrupted run resumes."""
