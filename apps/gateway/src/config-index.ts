import { configSchema } from './config-schema.ts';
import { settingsOf } from './setting.ts';
import { SettingIndex } from './setting-index.ts';

let index: SettingIndex | undefined;

/** What is known of every setting. */
export function settingIndex(): SettingIndex {
  index ??= new SettingIndex(settingsOf(configSchema));
  return index;
}
