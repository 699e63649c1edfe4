"""The web page and the HTTP server."""
