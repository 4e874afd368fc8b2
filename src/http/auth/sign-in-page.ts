import type { FastifyReply, FastifyRequest } from 'fastify'
import { html, type Markup } from '../pages/html.ts'
import { page } from '../pages/layout.ts'
import { sendPage, wantsHtml } from '../pages/send.ts'

/** The sign-in form. */
export function signInPage(fault?: string): Markup {
  return page({
    title: 'Sign in',
    body: html`<main class="narrow">
<h1>buildkite-mirror</h1>
${fault && html`<p class="notice bad" role="alert">${fault}</p>`}
<form method="post" action="/sign-in" class="sign-in">
<label for="token">Admin token</label>
<input id="token" name="token" type="password" autocomplete="current-password" required autofocus>
<button>Sign in</button>
</form>
<p class="quiet">The value of the setting ADMIN_TOKEN. Programs send it as <code>Authorization: Bearer …</code></p>
</main>`,
  })
}

/** Refuses a wrong token from an address that had too many wrong tries recently; `wait` in seconds. */
export function tooManyTries(request: FastifyRequest, reply: FastifyReply, wait: number): FastifyReply {
  const fault = 'Too many wrong tries. The right ADMIN_TOKEN is still accepted.'
  reply.code(429).header('retry-after', wait)
  return wantsHtml(request) ? sendPage(reply, signInPage(fault)) : reply.send({ error: fault })
}
