/**
 * What the page says, in English and Chinese side by side. The tables are total: a stage, or an error that the page
 * can meet, without words does not compile.
 */
import type { ErrorCode } from '../errors.ts';
import type { OperationKind } from '../history.ts';
import type { Stage } from '../updater/state.ts';

type Pair = readonly [english: string, chinese: string];

/** Refusals of what the page never asks for; they are not failures of an update either. */
type NeverShown = 'VALIDATION_ERROR' | 'DOWNLOAD_INCOMPLETE' | 'MD5_NOT_VERIFIED' | 'VERSION_MISMATCH';

export interface Words {
  readonly stages: Readonly<Record<Stage, Pair>>;
  /** Where what is no update reads otherwise. */
  readonly others: Readonly<Record<Exclude<OperationKind, 'update'>, Readonly<Partial<Record<Stage, Pair>>>>>;
  readonly errors: Readonly<Record<Exclude<ErrorCode, NeverShown>, Pair>>;
  /** The rest; a figure or a name stands where `{}` is. */
  readonly text: Readonly<Record<string, Pair>>;
  /** Chinese of the updater's own messages; one that is missing is shown as it is. */
  readonly messages: Readonly<Record<string, string>>;
  /** Download, check, install, done. */
  readonly steps: readonly Pair[];
}

export const words: Words = {
  stages: {
    idle: ['Ready', '就绪'],
    downloading: ['Downloading', '正在下载'],
    verifying: ['Checking', '正在校验'],
    toInstall: ['Ready to install', '可以安装'],
    installing: ['Installing', '正在安装'],
    rebooting: ['Restarting', '正在重启'],
    success: ['Update complete', '更新完成'],
    failed: ['Update failed', '更新失败'],
  },
  others: {
    rollback: {
      installing: ['Rolling back', '正在回退'],
      success: ['Rolled back', '已回退'],
      failed: ['Rollback failed', '回退失败'],
    },
    repair: {
      installing: ['Repairing', '正在修复'],
      success: ['Repaired', '已修复'],
      failed: ['Repair failed', '修复失败'],
    },
  },
  errors: {
    OPERATION_IN_PROGRESS: ['The updater is busy. Try again later.', '更新程序正忙，请稍后再试。'],
    PACKAGE_EXPIRED: [
      'The update waited too long. It must be downloaded again.',
      '更新包已过期，需要重新下载。',
    ],
    DOWNLOAD_FAILED: ['The download broke off. Check the network connection.', '下载中断，请检查网络连接。'],
    SIZE_MISMATCH: ['The update has the wrong size.', '更新包大小不符。'],
    MD5_MISMATCH: ['The update was damaged on its way.', '更新包在传输中损坏。'],
    SHA256_MISMATCH: ['The update was damaged on its way.', '更新包在传输中损坏。'],
    DISK_FULL: ['There is not enough free space.', '存储空间不足。'],
    INVALID_PACKAGE: ['This is not a valid update.', '更新包无效。'],
    INVALID_MANIFEST: ['This is not a valid update.', '更新包无效。'],
    SIGNATURE_INVALID: ['The update is not from a trusted source.', '更新包来源不受信任。'],
    INCOMPATIBLE: ['The update is not made for this device.', '更新包不适用于本设备。'],
    DOWNGRADE_REFUSED: ['A newer version is installed already.', '已安装更新的版本。'],
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
  },
  text: {
    name: ['Device update', '设备更新'],
    version: ['Version {}', '版本 {}'],
    amount: ['{} of {}', '{} / {}'],
    rate: ['{}/s', '{}/秒'],
    left: ['{} left', '剩余 {}'],
    seconds: ['{} s', '{} 秒'],
    minutes: ['{} min', '{} 分钟'],
    none: ['No update yet', '尚未更新过'],
    since: ['Installed {}', '安装于 {}'],
    wait: ['Waiting for {}', '等待 {}'],
    ready: ['Waiting for the device to begin', '等待设备开始安装'],
    live: ['Live', '实时'],
    lost: ['No connection. Trying again…', '连接已断开，正在重试…'],
    history: ['History', '历史记录'],
    empty: ['Nothing has been installed yet.', '尚未安装过更新。'],
    update: ['Update', '更新'],
    rolled: ['Rollback', '回退'],
    repaired: ['Repair', '修复'],
    close: ['Close', '关闭'],
    back: ['Roll back', '回退'],
    ask: ['Go back to version {}?', '回退到版本 {}？'],
    askUnknown: ['Go back to the earlier version?', '回退到之前的版本？'],
    consequence: ['Programs stop for a moment and start again.', '程序将短暂停止后重新启动。'],
    keep: ['Keep', '保持现状'],
  },
  messages: {
    // What a fleet's server leaves to somebody here, or to its time window.
    'waits for your consent': '等待您的同意',
    'scheduled: waits for its time window': '已安排：等待更新时段',
    preparing: '准备中',
    unpacking: '正在解包',
    'restoring files': '正在恢复文件',
    'saving backups': '正在备份',
    'stopping services': '正在停止服务',
    'replacing files': '正在替换文件',
    'starting services': '正在启动服务',
    'checking health': '正在检查运行状况',
    'putting everything back': '正在恢复原状',
    'restarting the machine': '正在重启设备',
  },
  steps: [
    ['Download', '下载'],
    ['Check', '校验'],
    ['Install', '安装'],
    ['Done', '完成'],
  ],
};
