// A real PLC directory (in memory) and a real PDS (SQLite) on loopback. Prints one JSON line when they are ready; stops
// on SIGTERM, or when its standard input ends, so that killed tests leave nothing behind.
'use strict'
const crypto = require('node:crypto')
const fs = require('node:fs')
const net = require('node:net')
const path = require('node:path')
const { PDS, envToCfg, envToSecrets } = require('@atproto/pds')
const plc = require('@did-plc/server')

// both servers would listen on every interface
const listen = net.Server.prototype.listen
net.Server.prototype.listen = function (where, ...rest) {
  return typeof where === 'number' ? listen.call(this, where, '127.0.0.1', ...rest) : listen.call(this, where, ...rest)
}

function freePort() {
  return new Promise((found) => {
    const server = net.createServer()
    server.listen(0, () => {
      const { port } = server.address()
      server.close(() => found(port))
    })
  })
}

async function main() {
  const dataDirectory = process.env.PDS_FOLDER
  const plcPort = await freePort()
  const directory = plc.PlcServer.create({ db: plc.Database.mock(), port: plcPort })
  await directory.start()
  const port = await freePort()
  const env = {
    devMode: true,
    port,
    hostname: 'localhost',
    dataDirectory,
    blobstoreDiskLocation: path.join(dataDirectory, 'blobs'),
    didPlcUrl: `http://127.0.0.1:${plcPort}`,
    serviceHandleDomains: ['.test'],
    inviteRequired: false,
    adminPassword: process.env.PDS_ADMIN,
    jwtSecret: process.env.PDS_JWT_SECRET,
    plcRotationKeyK256PrivateKeyHex: crypto.randomBytes(32).toString('hex'),
    rateLimitsEnabled: process.env.PDS_LIMITS === 'yes',
    disableSsrfProtection: true,
    crawlers: [],
  }
  const pds = await PDS.create(envToCfg(env), envToSecrets(env))
  await pds.start()
  console.log(JSON.stringify({ url: `http://127.0.0.1:${port}` }))
  const stop = async () => {
    await pds.destroy()
    await directory.destroy()
    process.exit(0)
  }
  process.on('SIGTERM', stop)
  process.stdin.on('end', stop).resume()
}

main().catch((error) => {
  console.error(error)
  process.exit(1)
})
