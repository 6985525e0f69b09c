"""How things are said and drawn: words for sizes and times, tables as text and as HTML that stay safe anywhere.  Knows only `errors`."""
