import type { Readable } from 'node:stream'
import { type BodyShare, bodyLimit } from './body-budget.ts'

/** A body that is not read to its end. `message` may be sent to the client. */
export class BodyError extends Error {
  readonly statusCode: 400 | 413 | 503

  constructor(statusCode: 400 | 413 | 503, message: string) {
    super(message)
    this.statusCode = statusCode
  }
}

/**
 * libuv reads up to 32 times 64 KiB from one socket before it turns to the next. Beyond this many bytes a body gets one or two reads in each
 * turn, so that many large bodies neither delay small ones nor fill memory with chunks that are not yet collected.
 */
const ONE_TURN = 64 * 1024
/** Each chunk costs about as much as 100 bytes. Real clients send some kB in each, and a short last one. */
const FREE_CHUNKS = 1_000
const BYTES_PER_CHUNK = 64

/**
 * Reads a body into one buffer, which grows as bytes arrive. No chunk is kept: a chunk of one byte would keep an object and the block of
 * memory that it was read into. `announced` is the `Content-Length`. Throws a BodyError, and then stops reading.
 */
export function readBody(stream: Readable, announced: number | undefined, share: BodyShare): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const most = Math.min(announced ?? bodyLimit, bodyLimit)
    let buffer: Buffer = Buffer.alloc(0)
    let length = 0
    let chunks = 0
    let hasEnded = false

    const problem = (added: number): BodyError | undefined => {
      chunks += 1
      if (length + added > most) return tooLarge()
      if (chunks > FREE_CHUNKS && length + added < chunks * BYTES_PER_CHUNK) {
        return new BodyError(400, 'The body is sent in too many small chunks.')
      }
      if (length + added <= buffer.length) return undefined
      const grown = share.grow(length + added)
      if (!grown) return new BodyError(503, 'Too many bodies are being received. Send it again.')
      buffer = grown
      return undefined
    }
    const onData = (chunk: Buffer) => {
      const error = problem(chunk.length)
      if (error) return refuse(error)
      length += chunk.copy(buffer, length)
      if (length > ONE_TURN) nextTurn()
    }
    const nextTurn = () => {
      stream.pause()
      setImmediate(() => hasEnded || stream.resume())
    }
    const onEnd = () => {
      hasEnded = true
      if (announced !== undefined && length !== announced) return refuse(incomplete())
      resolve(buffer.subarray(0, length))
    }
    const refuse = (error: BodyError) => {
      hasEnded = true
      stream.off('data', onData).off('end', onEnd)
      stream.pause()
      reject(error)
    }
    if (announced !== undefined && announced > bodyLimit) return reject(tooLarge())
    stream.on('error', () => refuse(incomplete()))
    stream.on('end', onEnd).on('data', onData)
  })
}

function tooLarge(): BodyError {
  return new BodyError(413, 'The body is larger than 10 MiB.')
}

function incomplete(): BodyError {
  return new BodyError(400, 'The body is not complete.')
}
