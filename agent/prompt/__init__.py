"""From what was sent to what is judged: a chat becomes one prompt, obfuscation is undone."""
