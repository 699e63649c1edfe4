"""Colours and fonts of the web page."""

from typing import Any

# Fonts that machines already have; any other would be fetched from somewhere else.
_FONTS = ("-apple-system", "Segoe UI", "Roboto", "Liberation Sans", "sans-serif")


def theme() -> Any:
    """Teal on slate, with enough contrast for small text and for the button (WCAG AA)."""
    import gradio

    base = gradio.themes.Base(
        primary_hue="teal", neutral_hue="slate", radius_size="sm", font=_FONTS
    )
    return base.set(
        body_text_color_subdued="#4b5768",
        body_text_color_subdued_dark="#b3bfd0",
        block_label_text_color="#3c4858",
        block_label_text_color_dark="#c3cddb",
        block_title_text_color="#3c4858",
        block_title_text_color_dark="#c3cddb",
        button_primary_background_fill="#0f766e",
        button_primary_background_fill_dark="#0f766e",
        button_primary_background_fill_hover="#115e59",
        button_primary_background_fill_hover_dark="#115e59",
        button_primary_text_color="#ffffff",
        button_primary_text_color_dark="#ffffff",
    )
