"""Starting everything on one machine: `propriety serve`."""
