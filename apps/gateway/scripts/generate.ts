import { writeFileSync } from 'node:fs';
import { limitSettingsSource } from './limit-settings.ts';

writeFileSync(new URL('../src/limit-settings.gen.ts', import.meta.url), limitSettingsSource());
// The page is made of what was just written.
const { configurationPage } = await import('./configuration-page.ts');
writeFileSync(new URL('../../../docs/gateway/configuration.md', import.meta.url), configurationPage());
