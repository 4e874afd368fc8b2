import { html, type Markup } from '../pages/html.ts'
import { page } from '../pages/layout.ts'

/** The sign-in form. */
export function signInPage(fault?: string): Markup {
  return page({
    title: 'Sign in',
    body: html`<main class="narrow">
<h1>buildkite-mirror</h1>
${fault && html`<p class="notice bad" role="alert">${fault}</p>`}
<form method="post" action="/sign-in" class="sign-in">
<label for="token">Token</label>
<input id="token" name="token" type="password" autocomplete="current-password" required autofocus>
<button>Sign in</button>
</form>
<p class="quiet">The value of the setting ADMIN_TOKEN, or of READER_TOKEN to look and not act. Programs send it as <code>Authorization: Bearer …</code></p>
</main>`,
  })
}
