"""Builds the components from the settings; `app.main` connects them to the application."""
