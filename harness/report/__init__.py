"""What is rendered from a run: the terminal's lines and the Allure results. Nothing here is a source of truth."""
