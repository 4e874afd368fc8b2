import { sign } from '../../src/buildkite/signature.ts'
import { WEBHOOK_PATH } from '../../src/buildkite/webhook-path.ts'
import type { Random } from '../../src/simulator/random.ts'

/** What one client does on one connection: bytes, with pauses between them, and how it leaves. */
export interface Conversation {
  /** Bytes to send; a number is a pause in milliseconds. */
  steps: (Buffer | number)[]
  /** `answer`: waits for the server to close. `end` closes after the last byte, `reset` cuts, `hold` sends nothing more until the server closes. */
  leave: 'answer' | 'end' | 'reset' | 'hold'
}

export interface ConversationParts {
  secret: string
  random: Random
  /** A text of its own, which is in every body that this conversation signs. */
  mark: string
}

/** Makes a conversation whose HTTP is odd, broken or hostile in one or several ways. */
export function makeConversation(parts: ConversationParts): Conversation {
  const { random } = parts
  const count = random.chance(0.2) ? random.int(2, 8) : 1
  let bytes: Buffer = Buffer.concat(Array.from({ length: count }, () => Buffer.from(request(parts), 'latin1')))
  if (random.chance(0.1)) bytes = damaged(bytes, random)
  if (random.chance(0.2)) bytes = bytes.subarray(0, random.int(0, bytes.length))
  const usual = random.pick<Conversation['leave']>(['answer', 'answer', 'answer', 'end', 'reset'])
  const leave = random.chance(0.01) ? 'hold' : usual
  return { steps: split(bytes, random), leave }
}

/** One write, a few, or many tiny ones. */
function split(bytes: Buffer, random: Random): (Buffer | number)[] {
  if (random.chance(0.6)) return [bytes]
  const pieces = random.chance(0.7) ? random.int(2, 5) : random.int(20, 60)
  const size = Math.max(1, Math.ceil(bytes.length / pieces))
  const steps: (Buffer | number)[] = []
  for (let at = 0; at < bytes.length; at += size) {
    steps.push(bytes.subarray(at, at + size))
    if (random.chance(0.3)) steps.push(random.int(1, 8))
  }
  return steps
}

function request(parts: ConversationParts): string {
  const { random, secret, mark } = parts
  const body = random.chance(0.9)
    ? JSON.stringify({ event: 'ping', mark, filler: 'x'.repeat(random.int(0, 3_000)) })
    : ''
  const time = Date.now() - (random.chance(0.1) ? random.int(-400_000, 400_000) : 0)
  const signature = random.pick([
    sign(body, secret, time),
    sign(body, secret, time),
    sign('', 'forged', Date.now()),
    'timestamp=1,signature=',
    'x'.repeat(random.int(1, 9_000)),
  ])
  const headers: [string, string][] = [
    ['Host', 'x'],
    [
      'Content-Type',
      random.chance(0.9) ? 'application/json' : random.pick(['text/plain', '', 'application/json; charset=utf-16']),
    ],
    ['X-Buildkite-Event', 'ping'],
    ...(random.chance(0.9) ? [['X-Buildkite-Signature', signature] satisfies [string, string]] : []),
  ]
  const { framing, text } = framed(body, random)
  headers.push(...framing)
  if (random.chance(0.3)) headers.push(random.pick(oddHeaders(random)))
  if (random.chance(0.1)) headers.splice(random.int(0, headers.length - 1), 1)
  const [line, newline] = [requestLine(random), random.chance(0.03) ? '\n' : '\r\n']
  const head = headers.map(([name, value]) => `${name}: ${value}`)
  return [line, ...head, '', text].join(newline)
}

function requestLine(random: Random): string {
  if (random.chance(0.8)) return `POST ${WEBHOOK_PATH} HTTP/1.1`
  const method = random.pick([
    'GET',
    'PUT',
    'HEAD',
    'OPTIONS',
    'TRACE',
    'CONNECT',
    'PRI',
    'post',
    'X'.repeat(5_000),
    '',
  ])
  const path = random.pick([
    WEBHOOK_PATH,
    `http://elsewhere${WEBHOOK_PATH}`,
    '/health/live',
    '/health/ready',
    '/../../etc/passwd',
    '/%zz',
    `${WEBHOOK_PATH}?${'q'.repeat(random.int(0, 20_000))}`,
    '*',
    '/\0',
    '',
  ])
  return `${method} ${path} ${random.pick(['HTTP/1.1', 'HTTP/1.1', 'HTTP/1.0', 'HTTP/2.0', 'HTTP/0.9', ''])}`
}

/** The body as it is sent, and the headers that announce it, truly or not. */
function framed(body: string, random: Random): { framing: [string, string][]; text: string } {
  const length = Buffer.byteLength(body)
  const chunked: [string, string] = ['Transfer-Encoding', 'chunked']
  const kind = random.int(0, 11)
  if (kind < 4) return { framing: [['Content-Length', String(length)]], text: body }
  if (kind < 7) return { framing: [chunked], text: chunks(body, random) }
  const wrong = random.pick([
    '0',
    '-1',
    '1e3',
    ' 5',
    '99999999999999999999',
    '10485761',
    '10485760',
    String(length + 7),
    '0x10',
  ])
  const options: { framing: [string, string][]; text: string }[] = [
    { framing: [['Content-Length', wrong]], text: body },
    { framing: [['Content-Length', String(Math.max(0, length - 3))]], text: body },
    {
      framing: [
        ['Content-Length', String(length)],
        ['Content-Length', wrong],
      ],
      text: body,
    },
    { framing: [['Content-Length', String(length)], chunked], text: chunks(body, random) },
    {
      framing: [['Transfer-Encoding', random.pick(['xchunked', 'gzip, chunked', 'chunked, identity', ' chunked '])]],
      text: chunks(body, random),
    },
    { framing: [], text: body },
  ]
  return random.choose(options) ?? { framing: [], text: body }
}

/** Chunks of any size, sometimes with extensions, trailers, wrong sizes or no end. */
function chunks(body: string, random: Random): string {
  const size = random.chance(0.2) ? 1 : random.int(1, Math.max(1, body.length))
  const parts: string[] = []
  for (let at = 0; at < body.length; at += size) {
    const text = body.slice(at, at + size)
    const extension = random.chance(0.05) ? `;${'e'.repeat(random.int(0, 200))}` : ''
    const claimed = random.chance(0.01) ? random.pick(['-1', 'zz', 'fffffffffffffffff', '']) : text.length.toString(16)
    parts.push(`${claimed}${extension}\r\n${text}\r\n`)
  }
  if (random.chance(0.1)) return parts.join('')
  return `${parts.join('')}0\r\n${random.chance(0.1) ? 'X-Trailer: 1\r\nContent-Length: 3\r\n' : ''}\r\n`
}

function oddHeaders(random: Random): [[string, string], ...[string, string][]] {
  return [
    ['Connection', random.pick(['close', 'keep-alive', 'upgrade', 'Host'])],
    ['Upgrade', random.pick(['h2c', 'websocket'])],
    ['Expect', random.pick(['100-continue', 'foo'])],
    ['X-Filler', 'f'.repeat(random.int(0, 20_000))],
    ['X-Forwarded-For', '127.0.0.1, 10.0.0.1'],
    ['X-Folded', 'a\r\n b'],
    ['X-Bytes', 'a\0b\x7f\xff'],
    ['Bad Name', '1'],
    ['__proto__', '1'],
    ['X-Buildkite-Signature', 'timestamp=1,signature=00'],
    ['Content-Encoding', 'gzip'],
  ]
}

/** Some bytes changed, removed or doubled. */
function damaged(bytes: Buffer, random: Random): Buffer {
  const copy = Buffer.from(bytes)
  for (let n = random.int(1, 4); n > 0 && copy.length > 0; n--)
    copy[random.int(0, copy.length - 1)] = random.int(0, 255)
  const at = random.int(0, copy.length)
  const to = Math.min(copy.length, at + random.int(0, 20))
  return random.chance(0.5)
    ? Buffer.concat([copy.subarray(0, at), copy.subarray(to)])
    : Buffer.concat([copy.subarray(0, to), copy.subarray(at)])
}
