"""Quizzes: the rules by which answers become leads and deals."""
