/**
 * The script of the status page. It receives changed pieces from `/events` and replaces the old ones. A piece in which the mouse
 * button is down is replaced later, because the click would be lost. The focus is kept, and details stay open. The page can be read without the script.
 */
export const script = `(() => {
  const live = document.getElementById('live')
  const waiting = new Map()
  let pressed = null
  const show = (id, html) => {
    const box = document.querySelector('[data-live="' + CSS.escape(id) + '"]')
    if (!box) return location.reload()
    if (box === pressed) return waiting.set(id, html)
    const focused = box.contains(document.activeElement) ? document.activeElement.dataset.key : undefined
    const open = [...box.querySelectorAll('details[open]')].map((one) => one.dataset.key)
    box.innerHTML = html
    for (const key of open) box.querySelector('details[data-key="' + CSS.escape(key) + '"]')?.setAttribute('open', '')
    if (focused) box.querySelector('[data-key="' + CSS.escape(focused) + '"]')?.focus({ preventScroll: true })
  }
  const flush = () => {
    pressed = null
    for (const [id, html] of waiting) show(id, html)
    waiting.clear()
  }
  addEventListener('pointerdown', (event) => { pressed = event.target.closest('[data-live]') })
  for (const end of ['pointerup', 'pointercancel']) addEventListener(end, () => setTimeout(flush, 300))
  const say = (text, state) => { live.textContent = text; live.dataset.state = state }
  const source = new EventSource('/events')
  source.addEventListener('facts', (event) => {
    for (const { id, html } of JSON.parse(event.data)) show(id, html)
    say('Live', 'on')
  })
  source.onerror = () => {
    const over = source.readyState === EventSource.CLOSED
    say(over ? 'No longer live: reload the page' : 'Connecting again …', 'off')
  }
})()
`
