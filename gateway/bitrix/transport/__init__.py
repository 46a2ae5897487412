"""HTTP requests to portals and authorization servers."""
