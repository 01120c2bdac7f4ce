"""Models of Othello, trained from scratch."""
