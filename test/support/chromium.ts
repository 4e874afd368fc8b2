import { existsSync } from 'node:fs'
import { type Browser, chromium } from 'playwright-core'

const places = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome']

/** Where this machine's Chromium is; TEST_CHROMIUM names another. Undefined when there is none. */
export function findChromium(): string | undefined {
  const given = process.env.TEST_CHROMIUM
  if (given && !existsSync(given)) throw new Error('TEST_CHROMIUM is set, but there is no such file.')
  return given ?? places.find((place) => existsSync(place))
}

/** Starts this machine's Chromium, without a window and quiet towards the network. */
export async function launchChromium(): Promise<Browser> {
  const executablePath = findChromium()
  if (!executablePath) throw new Error('There is no Chromium here (apt-get install chromium).')
  return chromium.launch({
    executablePath,
    args: [
      '--headless',
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  })
}
