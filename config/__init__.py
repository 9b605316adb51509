"""Settings: one table of typed, documented rows, read once by the application factory.

May import nothing of the project.
"""
