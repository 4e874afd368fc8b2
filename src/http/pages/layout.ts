import { html, Markup } from './html.ts'
import { script } from './script.ts'
import { style } from './style.ts'

const icon =
  "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E%3Crect width='16' height='16' rx='4' fill='%2315795b'/%3E%3Cpath d='M3 10h3V6h4v4h3' fill='none' stroke='white' stroke-width='1.6'/%3E%3C/svg%3E"

interface PageParts {
  readonly title: string
  readonly body: Markup
  /** Whether the page updates itself. */
  readonly live?: boolean
  /** More style; {@link sendPage} must know it too. */
  readonly moreStyle?: string
}

/** A whole page around `body`. */
export function page({ title, body, live = false, moreStyle }: PageParts): Markup {
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${title} · buildkite-mirror</title>
<link rel="icon" href="${icon}">
<style>${new Markup(style)}</style>${moreStyle !== undefined && new Markup(`<style>${moreStyle}</style>`)}
</head>
<body>
${body}
${live && new Markup(`<script>${script}</script>`)}
</body>
</html>
`
}
