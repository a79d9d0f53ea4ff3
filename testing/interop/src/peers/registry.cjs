// A registry for npm: GET /NAME gives a package's metadata, GET /NAME/-/FILE its archive.
// Arguments: the packages' directory, a certificate, its key, the address to listen at, the registry's name.
const crypto = require('crypto');
const fs = require('fs');
const https = require('https');
const path = require('path');

const [packages, certificate, key, address, host] = process.argv.slice(2);

function metadata(name) {
  const manifest = JSON.parse(fs.readFileSync(path.join(packages, name, 'package.json'), 'utf8'));
  const file = `${name}-${manifest.version}.tgz`;
  const digest = crypto.createHash('sha512').update(fs.readFileSync(path.join(packages, file))).digest('base64');
  manifest.dist = { tarball: `https://${host}/${name}/-/${file}`, integrity: `sha512-${digest}` };
  return { name, 'dist-tags': { latest: manifest.version }, versions: { [manifest.version]: manifest } };
}

https
  .createServer({ cert: fs.readFileSync(certificate), key: fs.readFileSync(key) }, (request, response) => {
    const archive = /^\/([a-z]+)\/-\/([a-z0-9.-]+\.tgz)$/.exec(request.url);
    const name = /^\/([a-z]+)$/.exec(request.url);
    if (archive && fs.existsSync(path.join(packages, archive[2]))) {
      response.end(fs.readFileSync(path.join(packages, archive[2])));
    } else if (name && fs.existsSync(path.join(packages, name[1]))) {
      response.setHeader('content-type', 'application/json');
      response.end(JSON.stringify(metadata(name[1])));
    } else {
      response.statusCode = 404;
      response.end('{}');
    }
  })
  .listen(443, address);
