// node build.mjs [--out FOLDER]: the dashboard as throng-api carries it (embedded/, kept in the repository so that building throng
// takes no node): page, script, style, font, icon and licences, each but the font compressed beside itself. Prints every size, and
// fails if what a first view transfers of it has become too large.
import {execFileSync} from 'node:child_process';
import {mkdirSync, readFileSync, writeFileSync} from 'node:fs';
import {dirname, join, resolve} from 'node:path';
import {fileURLToPath} from 'node:url';
import {build} from 'esbuild';

const LIMIT_BYTES = 150 * 1024;
const here = dirname(fileURLToPath(import.meta.url));
const out = process.argv[2] === '--out' ? resolve(process.argv[3]) : join(here, 'embedded');
const source = name => join(here, 'src', name), module = name => join(here, 'node_modules', name);

async function bundle(entry, more) {
    const {outputFiles: [file]} = await build({entryPoints: [source(entry)], bundle: true, write: false, minify: true, charset: 'utf8',
        target: ['es2021', 'chrome114', 'firefox125', 'safari17'], legalComments: 'none', tsconfigRaw: {}, ...more});
    return file.text;
}

// As gzip -9n does it: the same bytes wherever it is built, which node's own zlib does not promise.
const compress = bytes => execFileSync('gzip', ['-9nc'], {input: bytes, maxBuffer: 1 << 26});

let transferred = 0;
function write(name, content, first = true) {
    const bytes = Buffer.from(content), small = name.endsWith('.woff2') ? null : compress(bytes);
    writeFileSync(join(out, name), bytes);
    if (small)
        writeFileSync(join(out, name + '.gz'), small);
    transferred += first ? (small ?? bytes).length : 0;
    console.log(`${name}: ${bytes.length} bytes` + (small ? `, ${small.length} gzip` : ''));
}

const licences = [['uPlot', module('uplot/LICENSE')], ['Inter', module('@fontsource-variable/inter/LICENSE')]]
    .map(([name, path]) => `${name}\n${'-'.repeat(name.length)}\n\n${readFileSync(path, 'utf8').replace(/[ \t\r]+$/gm, '').trim()}\n`)
    .join('\n\n');

mkdirSync(out, {recursive: true});
write('index.html', readFileSync(source('index.html')));
write('dashboard.js', await bundle('main.ts', {format: 'iife'}));
write('dashboard.css', await bundle('style.css', {external: ['inter.woff2']}));
write('inter.woff2', readFileSync(module('@fontsource-variable/inter/files/inter-latin-wght-normal.woff2')));
write('icon.svg', readFileSync(source('icon.svg')));
write('licences.txt', licences, false);
console.log(`a first view transfers ${transferred} bytes of it`);
if (transferred > LIMIT_BYTES) {
    console.error(`that is ${transferred - LIMIT_BYTES} bytes too much`);
    process.exit(1);
}
