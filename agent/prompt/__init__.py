"""From the request to the text that is judged: a chat becomes one prompt, and its obfuscation is undone."""
