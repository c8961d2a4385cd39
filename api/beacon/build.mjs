// node build.mjs [--out FOLDER]: the beacon as modules and with its types (dist/), and as the script that throng serves
// (embedded/beacon.js, and compressed; kept in the repository so that building throng takes no node). Prints every size and the
// script's hash for a page's integrity attribute. Fails if the script has become too large. --out writes all of it there.
import {execFileSync} from 'node:child_process';
import {createHash} from 'node:crypto';
import {copyFileSync, mkdirSync, writeFileSync} from 'node:fs';
import {dirname, join, resolve} from 'node:path';
import {fileURLToPath} from 'node:url';
import {build} from 'esbuild';
import {minify} from 'terser';

const LIMIT_BYTES = 1536;
const here = dirname(fileURLToPath(import.meta.url));
const elsewhere = process.argv[2] === '--out' ? resolve(process.argv[3]) : null;
const dist = elsewhere ?? join(here, 'dist'), embedded = elsewhere ?? join(here, 'embedded');

async function bundle(entry, format) {
    const {outputFiles: [file]} = await build({entryPoints: [join(here, 'src', entry)], bundle: true, write: false, format,
        target: 'es2021', minifySyntax: true, charset: 'utf8', tsconfigRaw: {}});
    const {code} = await minify(file.text, {ecma: 2021, module: format === 'esm',
        compress: {passes: 3, unsafe_arrows: true, pure_getters: true, keep_fargs: false}, format: {comments: false}});
    return code + '\n';
}

// As gzip -9n does it: the same bytes wherever it is built, which node's own zlib does not promise.
const compress = text => execFileSync('gzip', ['-9nc'], {input: text});

function write(folder, name, text) {
    mkdirSync(folder, {recursive: true});
    writeFileSync(join(folder, name), text);
    const gzip = compress(text).length;
    console.log(`${name}: ${Buffer.byteLength(text)} bytes, ${gzip} gzip`);
    return gzip;
}

write(dist, 'index.js', await bundle('beacon.ts', 'esm'));
write(dist, 'index.cjs', await bundle('beacon.ts', 'cjs'));
const script = await bundle('script.ts', 'iife');
const size = write(dist, 'beacon.js', script);
const integrity = 'sha384-' + createHash('sha384').update(script).digest('base64');
write(embedded, 'beacon.js', script);
writeFileSync(join(embedded, 'beacon.js.gz'), compress(script));
writeFileSync(join(embedded, 'beacon.js.integrity'), integrity + '\n');

execFileSync(join(here, 'node_modules/.bin/tsc'), ['--project', here, '--noEmit', 'false', '--emitDeclarationOnly', '--outDir', dist],
    {stdio: 'inherit'});
copyFileSync(join(dist, 'beacon.d.ts'), join(dist, 'index.d.ts'));
copyFileSync(join(dist, 'beacon.d.ts'), join(dist, 'index.d.cts'));

console.log(`integrity: ${integrity}`);
if (size > LIMIT_BYTES) {
    console.error(`beacon.js is ${size - LIMIT_BYTES} bytes too large: at most ${LIMIT_BYTES} after gzip`);
    process.exit(1);
}
