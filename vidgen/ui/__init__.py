"""The page to play with: two combinations of parts side by side. Needs gradio, which is imported by `page` alone."""
