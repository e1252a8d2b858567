"""Clients that send the same mails as ours does, each as its documentation shows it.

Each is a program of its own: a `Job` as JSON in argv, a result as JSON on its last line.
"""
