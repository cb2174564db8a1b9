"""The command line: one module a command, nothing but arguments and calls. Nothing heavy is imported before a command
runs.
"""
