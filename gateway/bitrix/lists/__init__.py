"""Reading the lists of a portal completely, in the order of their ids.

README.md beside this file explains how a walk reads a list, and defines the terms that the modules use.
"""
