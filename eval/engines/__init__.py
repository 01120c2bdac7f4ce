"""What completes prompts."""
