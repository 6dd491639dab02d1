/** What the page says, in English and Chinese. test/screen/face.test.ts does not compile when a stage or an error that it can meet has no words. */

export type Pair = readonly [english: string, chinese: string];

const stops: Pair = ['Programs stop for a moment and start again.', '程序将短暂停止后重新启动。'];
const notNow: Pair = ['Not now', '暂不'];
const goBack: Pair = ['Roll back', '回退'];
const install: Pair = ['Install', '安装'];
const allow: Pair = ['Allow', '同意'];
const askInstall: Pair = ['Install version {}?', '安装版本 {}？'];
const askThis: Pair = ['Install this version?', '安装此版本？'];
const damaged: Pair = ['The update was damaged on its way.', '更新包在传输中损坏。'];
const invalid: Pair = ['This is not a valid update.', '更新包无效。'];

export const stages = {
  idle: ['Ready', '就绪'],
  downloading: ['Downloading', '正在下载'],
  verifying: ['Checking', '正在校验'],
  toInstall: ['Ready to install', '可以安装'],
  installing: ['Installing', '正在安装'],
  rebooting: ['Restarting', '正在重启'],
  success: ['Update complete', '更新完成'],
  failed: ['Update failed', '更新失败'],
} as const;

/** For what is no update. */
export const others = {
  rollback: {
    installing: ['Going back', '正在回退'],
    success: ['Rolled back', '已回退'],
    failed: ['Rollback failed', '回退失败'],
  },
  repair: {
    installing: ['Repairing', '正在修复'],
    success: ['Repaired', '已修复'],
    failed: ['Repair failed', '修复失败'],
  },
} as const;

export const errors = {
  OPERATION_IN_PROGRESS: ['The updater is busy. Try again later.', '更新程序正忙，请稍后再试。'],
  PACKAGE_EXPIRED: [
    'The update waited too long. It must be downloaded again.',
    '更新包已过期，需要重新下载。',
  ],
  DOWNLOAD_FAILED: ['The download broke off. Check the network connection.', '下载中断，请检查网络连接。'],
  SIZE_MISMATCH: ['The update has the wrong size.', '更新包大小不符。'],
  MD5_MISMATCH: damaged,
  SHA256_MISMATCH: damaged,
  DISK_FULL: ['There is not enough free space.', '存储空间不足。'],
  INVALID_PACKAGE: invalid,
  INVALID_MANIFEST: invalid,
  SIGNATURE_INVALID: ['The update is not from a trusted source.', '更新包来源不受信任。'],
  INCOMPATIBLE: ['The update is not made for this device.', '更新包不适用于本设备。'],
  DOWNGRADE_REFUSED: ['A newer version is installed already.', '已安装更高的版本。'],
  PROCESS_KILL_FAILED: [
    'A program could not be stopped. Nothing was changed.',
    '有程序无法停止，未作任何更改。',
  ],
  DEPLOYMENT_FAILED: [
    'The files could not be replaced. The old version is back.',
    '文件无法替换，已恢复旧版本。',
  ],
  SERVICE_START_FAILED: [
    'The new version did not start. The old one is back.',
    '新版本未能启动，已恢复旧版本。',
  ],
  HEALTH_CHECK_FAILED: [
    'The new version did not work. The old one is back.',
    '新版本运行不正常，已恢复旧版本。',
  ],
  ROLLBACK_FAILED: [
    'The old version could not be restored. Please call service.',
    '旧版本无法恢复，请联系售后。',
  ],
  NO_BACKUP: ['There is no backup to go back to.', '没有可用的备份。'],
  CANCELLED: ['The update was cancelled.', '更新已取消。'],
  INTERNAL_ERROR: ['Something unexpected went wrong.', '发生意外错误。'],
} as const;

/** Of an entry of the history. */
export const kinds = {
  update: ['Update', '更新'],
  rollback: ['Rollback', '回退'],
  repair: ['Repair', '修复'],
} as const;

export const actions = {
  rollback: {
    open: goBack,
    ask: ['Go back to version {}?', '回退到版本 {}？'],
    consequence: stops,
    stay: ['Keep', '保持现状'],
    act: goBack,
  },
  install: {
    open: install,
    ask: askInstall,
    consequence: stops,
    stay: notNow,
    act: install,
  },
  cancel: {
    open: ['Cancel', '取消'],
    ask: ['Cancel the update to version {}?', '取消到版本 {} 的更新？'],
    consequence: ['Nothing is changed on the device.', '设备上的程序不会改变。'],
    stay: ['Go on', '继续更新'],
    act: ['Cancel the update', '取消更新'],
  },
  consent: {
    open: allow,
    ask: askInstall,
    consequence: stops,
    stay: notNow,
    act: allow,
  },
} as const;

/** The questions where the version is not known. */
export const unknown = {
  rollback: ['Go back to the earlier version?', '回退到之前的版本？'],
  install: askThis,
  cancel: ['Cancel the update?', '取消更新？'],
  consent: askThis,
} as const;

/** After a failure: the rollback does not undo that, it takes back what works. */
export const further = {
  open: ['Go back further', '再往前回退'],
  ask: ['Version {} works. Go back further, to {}?', '版本 {} 运行正常。仍要回退到更早的 {} 吗？'],
  askUnknown: [
    'Version {} works. Go back to what was there before it?',
    '版本 {} 运行正常。仍要回退到之前的状态吗？',
  ],
} as const;

/** Chinese of the updater's own messages; one that is missing is shown as it is. */
export const messages = {
  preparing: '准备中',
  unpacking: '正在解包',
  'restoring files': '正在恢复文件',
  'saving backups': '正在备份',
  'stopping services': '正在停止服务',
  'replacing files': '正在替换文件',
  'starting services': '正在启动服务',
  'checking health': '正在检查运行状况',
  'restarting the machine': '正在重启设备',
} as const;

/** Download, check, install, done. */
export const steps = [['Download', '下载'], ['Check', '校验'], install, ['Done', '完成']] as const;
