"""The commands of the program; `app.cli` declares them and their options."""
