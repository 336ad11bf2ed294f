import { defineConfig } from 'vite';

export default defineConfig({
  // Relative, so that the page also works below a path.
  base: './',
  // Workspace packages are taken from their sources: no build of theirs is needed first.
  resolve: { conditions: ['@openclaw/source', 'browser', 'module', 'import', 'default'] },
  build: {
    target: 'es2022',
    // Nothing inline: the gateway's Content-Security-Policy allows scripts and styles from files alone.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
  },
  server: {
    // `npm run dev` talks to the gateway that `npm start` runs.
    proxy: {
      '/gateway': { target: 'ws://127.0.0.1:18789', ws: true, changeOrigin: true, rewriteWsOrigin: true },
    },
  },
});
