"""Scores of interfaces from the files of a finished job, af3opt's own or upstream's."""
