"""The decision core: state is a fold of events, decisions are values made by pure functions.

Nothing here reads a clock, draws a random number, or touches a file, a socket or a log.
"""
