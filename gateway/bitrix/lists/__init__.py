"""Reading a portal's lists to their proven end."""
