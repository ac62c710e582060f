import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { defineConfig, type Plugin } from "vite";

const here = import.meta.dirname;
const FILES = ["package.json", "package-lock.json", "tsconfig.json", "vite.config.ts"];

/** SHA-256 over names and contents of all sources; tests/station/test_viewer_build.py computes it, too. */
function sourcesDigest(): string {
  const sources = readdirSync(join(here, "src")).map((name) => `src/${name}`);
  const hash = createHash("sha256");
  for (const name of [...FILES, ...sources].sort())
    hash.update(name).update("\0").update(readFileSync(join(here, name))).update("\0");
  return hash.digest("hex");
}

/** First line of the built file: which sources it was made from, and the digest of the rest. */
function stamp(): Plugin {
  return {
    name: "stamp",
    enforce: "post",
    generateBundle(_options, bundle) {
      for (const file of Object.values(bundle)) {
        if (file.type !== "chunk") continue;
        const body = `${file.code.trim()}\n`;
        const built = createHash("sha256").update(body).digest("hex");
        file.code = `/* flawmap viewer (Apache-2.0); sources ${sourcesDigest()} built ${built} */\n${body}`;
      }
    },
  };
}

export default defineConfig({
  build: {
    outDir: join(here, "../../src/flawmap/station/web/static"),
    emptyOutDir: false,
    copyPublicDir: false,
    target: "es2022",
    lib: { entry: join(here, "src/viewer.ts"), formats: ["iife"], name: "flawmapViewer", fileName: () => "viewer.js" },
    minify: true,
  },
  plugins: [stamp()],
});
