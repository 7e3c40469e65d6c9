// Answers requests, one JSON object a line, with what the original makes of them: encoding-down over memdown, as its cache puts them
// together. Bytes go both ways as base64.
//
//   {op: "encode", encoding, bytes}  what clients send, as UTF-8 → what it writes to the log
//   {op: "decode", encoding, bytes}  what is in the log          → what its get answers, as UTF-8, and its key
'use strict'

const readline = require('readline')
const zlib = require('zlib')
const encode = require('encoding-down')
const memdown = require('memdown')

// Its own addition, which is an encoding object that it hands to encoding-down.
const jsonGzip = {
  type: 'kafka-cache.json.gzip',
  buffer: true,
  encode: value => zlib.gzipSync(JSON.stringify(value)),
  decode: buffer => JSON.parse(zlib.gunzipSync(buffer))
}

const encodingOf = name => name === 'kafka-cache.json.gzip' ? jsonGzip : name

// What a client sends is a string, but for the encodings of other values.
function fromClient (name, bytes) {
  if (name === 'binary' || name === 'id' || name === 'none') return bytes
  const text = bytes.toString('utf8')
  return name === 'json' || name === jsonGzip.type ? JSON.parse(text) : text
}

function toClient (name, value) {
  if (name === 'json' || name === jsonGzip.type) return Buffer.from(JSON.stringify(value))
  return Buffer.from(value)
}

const call = f => new Promise((resolve, reject) => f((err, ...results) => err ? reject(err) : resolve(results)))

// Its store has no empty keys, and no null; nor is its own encoding for keys.
function keyed (encoding, input) {
  if (input.length === 0 || encoding === jsonGzip.type) return false
  return encoding !== 'json' || input.toString() !== '[]'
}

async function answer ({ op, encoding, bytes }) {
  const input = Buffer.from(bytes, 'base64')
  const hasKey = op === 'decode' && keyed(encoding, input)
  const db = encode(memdown(), { keyEncoding: hasKey ? encoding : 'utf8', valueEncoding: encodingOf(encoding) })
  if (op === 'encode') {
    return { bytes: Buffer.from(db.codec.encodeValue(fromClient(encoding, input))).toString('base64') }
  }
  // A record is decoded, and what came of it is put into the store, which encodes it again.
  const key = hasKey ? db.codec.decodeKey(input) : 'key'
  await call(done => db.put(key, db.codec.decodeValue(input), done))
  const [value] = await call(done => db.get(key, done))
  const iterator = db.iterator()
  const [read] = await call(done => iterator.next(done))
  await call(done => iterator.end(done))
  return {
    bytes: toClient(encoding, value).toString('base64'),
    key: hasKey ? toClient(encoding, read).toString('base64') : undefined
  }
}

async function main () {
  for await (const line of readline.createInterface({ input: process.stdin })) {
    let reply
    try {
      reply = await answer(JSON.parse(line))
    } catch (err) {
      reply = { error: String(err) }
    }
    process.stdout.write(JSON.stringify(reply) + '\n')
  }
}

main().catch(err => {
  console.error(err)
  process.exit(1)
})
