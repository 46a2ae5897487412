"""Quizzes: rules that turn answers into leads and deals."""
