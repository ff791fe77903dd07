// Bundles web/src into the folder given as first argument: content-hashed names, a manifest from plain name
// to hashed name, and .br and .gz beside each file that gains from it. Run by `python -m koinon.portal.build`.
import { readFile, readdir, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";
import { build } from "esbuild";

const out = process.argv[2];
if (!out) throw new Error("usage: node build.mjs FOLDER");

const result = await build({
  entryPoints: [
    "src/main.ts",
    "src/main.css",
    "src/favicon.svg",
    "src/video/map.css",
    "node_modules/maplibre-gl/dist/maplibre-gl-worker.mjs", // its own file, so that no policy must allow blob: workers
  ],
  outdir: out,
  bundle: true,
  minify: true,
  splitting: true,
  format: "esm",
  target: ["es2022", "chrome109", "firefox115", "safari16.4"],
  entryNames: "[name]-[hash]",
  chunkNames: "[name]-[hash]",
  assetNames: "[name]-[hash]",
  loader: { ".svg": "copy" },
  legalComments: "none",
  metafile: true,
  logLevel: "warning",
});

const manifest = {};
for (const [path, output] of Object.entries(result.metafile.outputs)) {
  // A file that is only copied has no entry point of its own in the metafile: its one input names it.
  const source = output.entryPoint ?? Object.keys(output.inputs)[0];
  if (!source || basename(path).startsWith("chunk-")) continue;
  manifest[basename(source).replace(/\.ts$/, ".js")] = basename(path);
}
await writeFile(join(out, "manifest.json"), `${JSON.stringify(manifest, null, 2)}\n`);

for (const name of await readdir(out)) {
  if (name === "manifest.json") continue;
  const data = await readFile(join(out, name));
  const small = {
    br: brotliCompressSync(data, { params: { [constants.BROTLI_PARAM_QUALITY]: 11 } }),
    gz: gzipSync(data, { level: 9 }),
  };
  for (const [kind, bytes] of Object.entries(small)) {
    if (bytes.length < data.length) await writeFile(join(out, `${name}.${kind}`), bytes);
  }
}
