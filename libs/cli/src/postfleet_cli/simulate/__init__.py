"""The flight simulator: the planner and the rules of the services in virtual time."""
