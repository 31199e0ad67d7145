// What the page says, in English and in Simplified Chinese.

const english = {
  cancel: 'Cancel', save: 'Save', remove: 'Remove', rename: 'Rename', add: 'Add', next: 'Continue', never: 'never', loading: 'Loading…',
  'language.other': '中文', 'language.code': 'en', 'language.switch': '切换到中文',

  'signin.title': 'Sign in', 'signin.user': 'User name', 'signin.password': 'Password', 'signin.submit': 'Sign in',
  'signin.passkey': 'Sign in with a passkey', 'signin.or': 'or', 'signin.ended': 'Your session has ended. Sign in again.',

  'setup.title': 'Set up Watch Docker', 'setup.intro': 'Nobody can sign in yet. Make the first administrator.',
  'setup.token': 'Set-up token', 'setup.token.hint': 'The program writes it to its log when it starts: docker logs shows it.',
  'setup.submit': 'Create administrator', 'password.hint': '8 to 256 characters, and not one of the commonest.',

  'factor.title': 'Second factor', 'factor.otp': 'Code from your authenticator app', 'factor.otp.use': 'Use an authenticator code',
  'factor.passkey': 'Confirm with your passkey.', 'factor.passkey.use': 'Use a passkey', 'factor.recovery': 'Recovery code',
  'factor.recovery.use': 'Use a recovery code', 'factor.recovery.hint': 'Each works once. Dashes and case don’t matter.',
  'factor.submit': 'Confirm', 'factor.back': 'Sign in as somebody else',
  'factor.notHere': 'Your passkeys belong to another address. Use another method, or open this page at that address.',

  'enrol.title': 'Set up a second factor', 'enrol.intro': 'This server asks everybody for a second factor. Choose one; you can add more later.',
  'enrol.passkey.title': 'Passkey', 'enrol.passkey.intro': 'Your device, phone or security key confirms that it’s you. It can’t be phished, and signs you in without a password.',
  'enrol.passkey.name': 'Name of the passkey', 'enrol.passkey.name.hint': 'So that you know it again, such as “Laptop”.', 'enrol.passkey.submit': 'Create a passkey',
  'enrol.otp.title': 'Authenticator app', 'enrol.otp.intro': 'An app shows a new code every 30 seconds.', 'enrol.otp.submit': 'Set up an app',
  'enrol.otp.scan': 'Scan this code with your app, or type the key in. Then enter the code that the app shows.',
  'enrol.otp.qr': 'QR code for the authenticator app; the key below says the same', 'enrol.otp.secret': 'Key', 'enrol.otp.code': 'Code from the app',
  'enrol.otp.finish': 'Confirm code',

  'codes.title': 'Recovery codes', 'codes.intro': 'Keep these somewhere safe. Each lets you in once when your second factor is lost. They are shown only now.',
  'codes.copy': 'Copy', 'codes.copied': 'Copied.', 'codes.download': 'Download', 'codes.kept': 'I have kept the codes', 'codes.list': 'Your recovery codes',

  'account.title': 'Your account', 'account.who': '{username} · {role}', 'account.signout': 'Sign out', 'account.verified': 'Signed in with a second factor.',
  'account.unverified': 'Signed in with a password alone. A passkey or an authenticator app makes that safer.',
  'role.viewer': 'viewer', 'role.operator': 'operator', 'role.admin': 'administrator',
  'live.on': 'Live · {count} containers, {updates} with an update', 'live.one': 'Live · 1 container, {updates} with an update', 'live.off': 'Not connected; trying again',
  'live.refused': 'No live view: set server.baseURL to the address above, or name your proxy in server.trustedProxies and let it pass WebSockets on.',

  'passkeys.title': 'Passkeys', 'passkeys.none': 'No passkey yet.', 'passkeys.about': 'for {rpid} · added {created} · last used {used}',
  'passkeys.remove': 'Remove the passkey “{name}”?', 'passkeys.remove.text': 'It won’t sign you in any more. All your sessions end but this one.', 'passkeys.rename': 'Rename the passkey “{name}”',
  'otp.title': 'Authenticator app', 'otp.on': 'Set up.', 'otp.off': 'Not set up.', 'otp.remove': 'Remove the authenticator app?',
  'otp.remove.text': 'Its codes won’t work any more. All your sessions end but this one.',
  'recovery.title': 'Recovery codes', 'recovery.left': '{count} left.', 'recovery.new': 'New recovery codes', 'recovery.new.sure': 'Make new recovery codes?',
  'recovery.new.text': 'The old ones stop working.',
  'password.title': 'Password', 'password.change': 'Change password', 'password.current': 'Current password', 'password.new': 'New password',
  'password.again': 'New password again', 'password.different': 'The two new passwords differ.', 'password.done': 'The password is changed. Your other sessions have ended.',
  'sessions.title': 'Sessions', 'sessions.this': 'this one', 'sessions.about': '{address} · since {created} · last used {used}', 'sessions.unknown': 'Unknown device',
  'sessions.end': 'End', 'sessions.ended': 'The session has ended.', 'sessions.others': 'End all others',
  'tokens.title': 'API tokens', 'tokens.intro': 'For programs, instead of your password. Seeing them needs a fresh proof that it’s you.', 'tokens.show': 'Show API tokens',
  'tokens.none': 'No API token.', 'tokens.name': 'What it is for', 'tokens.scope': 'What it may do', 'tokens.expires': 'Ends', 'tokens.make': 'Make a token',
  'tokens.read': 'read', 'tokens.operate': 'operate', 'tokens.admin': 'administer', 'tokens.days': 'in {count} days', 'tokens.year': 'in a year',
  'tokens.about': '{scope} · made {created} · last used {used} · ends {expires}', 'tokens.made': 'Your new token', 'tokens.once': 'Copy it now: it isn’t shown again.',
  'tokens.remove': 'Remove the token “{name}”?', 'tokens.remove.text': 'Programs that use it get in no more.',

  'stepup.title': 'Is it you?', 'stepup.intro': 'This needs a fresh proof. It counts for five minutes.', 'stepup.password': 'Your password',
  'stepup.code': 'Code from your app, or a recovery code', 'stepup.codeOnly': 'Recovery code',

  'passkey.cancelled': 'Nothing was confirmed: it was cancelled, took too long, or there is no passkey for this address.',
  'passkey.address': 'The server takes this page for another address: set server.baseURL to the one above, or name your proxy in server.trustedProxies.',
  'passkey.known': 'This device already has a passkey for your account.', 'passkey.unsupported': 'This browser can’t use passkeys at this address.',
  'error.network': 'The server doesn’t answer. Is it running?', 'error.bad_credentials': 'The user name or the password is wrong.',
  'error.too_many_attempts': 'Too many attempts. Try again in {retryAfter} seconds.', 'error.bad_code': 'The code is wrong, too old, or was used before.',
};

const chinese = {
  cancel: '取消', save: '保存', remove: '移除', rename: '重命名', add: '添加', next: '继续', never: '从未', loading: '正在加载…',
  'language.other': 'English', 'language.code': 'zh-Hans', 'language.switch': 'Switch to English',

  'signin.title': '登录', 'signin.user': '用户名', 'signin.password': '密码', 'signin.submit': '登录',
  'signin.passkey': '使用通行密钥登录', 'signin.or': '或', 'signin.ended': '会话已结束，请重新登录。',

  'setup.title': '设置 Watch Docker', 'setup.intro': '目前还没有任何用户。请创建第一个管理员。',
  'setup.token': '设置令牌', 'setup.token.hint': '程序启动时会写入日志，可用 docker logs 查看。',
  'setup.submit': '创建管理员', 'password.hint': '8 到 256 个字符，不能是最常见的密码。',

  'factor.title': '第二重验证', 'factor.otp': '身份验证器应用中的验证码', 'factor.otp.use': '使用验证码',
  'factor.passkey': '请用通行密钥确认。', 'factor.passkey.use': '使用通行密钥', 'factor.recovery': '恢复码',
  'factor.recovery.use': '使用恢复码', 'factor.recovery.hint': '每个只能使用一次，不区分大小写和连字符。',
  'factor.submit': '确认', 'factor.back': '以其他用户登录',
  'factor.notHere': '您的通行密钥属于另一个地址。请使用其他方式，或在那个地址打开本页。',

  'enrol.title': '设置第二重验证', 'enrol.intro': '此服务器要求所有用户使用第二重验证。请选择一种，以后可以再添加。',
  'enrol.passkey.title': '通行密钥', 'enrol.passkey.intro': '由您的设备、手机或安全密钥确认是您本人。它不怕钓鱼，也可以免密码登录。',
  'enrol.passkey.name': '通行密钥名称', 'enrol.passkey.name.hint': '便于日后辨认，例如“笔记本电脑”。', 'enrol.passkey.submit': '创建通行密钥',
  'enrol.otp.title': '身份验证器应用', 'enrol.otp.intro': '应用每 30 秒显示一个新的验证码。', 'enrol.otp.submit': '设置应用',
  'enrol.otp.scan': '用应用扫描此二维码，或手动输入密钥，然后填写应用显示的验证码。',
  'enrol.otp.qr': '身份验证器应用的二维码，内容与下方密钥相同', 'enrol.otp.secret': '密钥', 'enrol.otp.code': '应用中的验证码',
  'enrol.otp.finish': '确认验证码',

  'codes.title': '恢复码', 'codes.intro': '请妥善保存。丢失第二重验证时，每个恢复码可登录一次。它们只在此刻显示。',
  'codes.copy': '复制', 'codes.copied': '已复制。', 'codes.download': '下载', 'codes.kept': '我已保存恢复码', 'codes.list': '您的恢复码',

  'account.title': '您的账户', 'account.who': '{username} · {role}', 'account.signout': '退出登录', 'account.verified': '已通过第二重验证登录。',
  'account.unverified': '仅使用密码登录。添加通行密钥或身份验证器应用会更安全。',
  'role.viewer': '查看者', 'role.operator': '操作员', 'role.admin': '管理员',
  'live.on': '实时 · {count} 个容器，{updates} 个可更新', 'live.one': '实时 · 1 个容器，{updates} 个可更新', 'live.off': '未连接，正在重试',
  'live.refused': '无法实时更新：请将 server.baseURL 设为上方地址，或在 server.trustedProxies 中写明代理，并让它转发 WebSocket。',

  'passkeys.title': '通行密钥', 'passkeys.none': '还没有通行密钥。', 'passkeys.about': '用于 {rpid} · 添加于 {created} · 上次使用 {used}',
  'passkeys.remove': '移除通行密钥“{name}”？', 'passkeys.remove.text': '它将不能再用于登录。除当前会话外，您的所有会话都会结束。', 'passkeys.rename': '重命名通行密钥“{name}”',
  'otp.title': '身份验证器应用', 'otp.on': '已设置。', 'otp.off': '未设置。', 'otp.remove': '移除身份验证器应用？',
  'otp.remove.text': '它的验证码将失效。除当前会话外，您的所有会话都会结束。',
  'recovery.title': '恢复码', 'recovery.left': '剩余 {count} 个。', 'recovery.new': '生成新的恢复码', 'recovery.new.sure': '生成新的恢复码？',
  'recovery.new.text': '旧的恢复码将失效。',
  'password.title': '密码', 'password.change': '修改密码', 'password.current': '当前密码', 'password.new': '新密码',
  'password.again': '再次输入新密码', 'password.different': '两次输入的新密码不一致。', 'password.done': '密码已修改，其他会话已结束。',
  'sessions.title': '会话', 'sessions.this': '当前', 'sessions.about': '{address} · 开始于 {created} · 上次使用 {used}', 'sessions.unknown': '未知设备',
  'sessions.end': '结束', 'sessions.ended': '会话已结束。', 'sessions.others': '结束其他所有会话',
  'tokens.title': 'API 令牌', 'tokens.intro': '供程序代替密码使用。查看前需要重新确认是您本人。', 'tokens.show': '显示 API 令牌',
  'tokens.none': '没有 API 令牌。', 'tokens.name': '用途', 'tokens.scope': '权限', 'tokens.expires': '到期', 'tokens.make': '创建令牌',
  'tokens.read': '只读', 'tokens.operate': '操作', 'tokens.admin': '管理', 'tokens.days': '{count} 天后', 'tokens.year': '一年后',
  'tokens.about': '{scope} · 创建于 {created} · 上次使用 {used} · 到期 {expires}', 'tokens.made': '您的新令牌', 'tokens.once': '请立即复制，以后不会再显示。',
  'tokens.remove': '移除令牌“{name}”？', 'tokens.remove.text': '使用它的程序将无法再访问。',

  'stepup.title': '是您本人吗？', 'stepup.intro': '此操作需要重新确认，五分钟内有效。', 'stepup.password': '您的密码',
  'stepup.code': '应用中的验证码或恢复码', 'stepup.codeOnly': '恢复码',

  'passkey.cancelled': '未完成确认：已取消、超时，或此地址没有通行密钥。',
  'passkey.address': '服务器认为此页面在另一个地址：请将 server.baseURL 设为上方地址，或在 server.trustedProxies 中写明代理。',
  'passkey.known': '此设备已有您账户的通行密钥。', 'passkey.unsupported': '此浏览器无法在该地址使用通行密钥。',
  'error.network': '服务器没有响应，它在运行吗？', 'error.bad_credentials': '用户名或密码错误。',
  'error.too_many_attempts': '尝试次数过多，请在 {retryAfter} 秒后重试。', 'error.bad_code': '验证码错误、已过期或已使用过。',
  'error.bad_setup_token': '设置令牌不正确。', 'error.already_set_up': '已经设置过了，请登录。', 'error.bad_passkey': '此通行密钥未被接受。',
  'error.ceremony_expired': '等待时间过长，请重试。', 'error.no_passkey_here': '此地址没有您的通行密钥。', 'error.passkey_cloned': '此通行密钥可能被复制，已拒绝。',
  'error.credential_taken': '此通行密钥已经注册过。', 'error.overloaded': '登录请求过多，请稍后再试。', 'error.cross_origin': '此页面的地址与服务器设置不符，请检查 server.baseURL 或 server.trustedProxies。',
  'error.validation_failed': '输入内容无效，请检查后重试。', 'error.unauthorized': '会话已结束，请重新登录。', 'error.internal_error': '服务器出错，日志中有详细信息。',
  'error.second_factor_required': '请先完成第二重验证。', 'error.factor_required': '请使用第二重验证，而不是密码。', 'error.too_many': '数量已达上限，请先移除一些。',
};

const languages = { en: english, zh: chinese };
const stored = 'watch-docker-language';

function preferred() {
  try {
    const kept = localStorage.getItem(stored);
    if (kept in languages) return kept;
  } catch { /* storage is off */ }
  const first = (navigator.languages ?? [navigator.language]).find((l) => /^(en|zh)\b/i.test(l)) ?? 'en';
  return first.slice(0, 2).toLowerCase();
}

let language = preferred();

export function switchLanguage() {
  language = language === 'en' ? 'zh' : 'en';
  try {
    localStorage.setItem(stored, language);
  } catch { /* it lasts as long as the page, then */ }
}

// t gives a text with {names} filled in; '' for an error code without one.
export function t(key, values = {}) {
  const text = languages[language][key] ?? (key.startsWith('error.') ? '' : key);
  return text.replace(/\{(\w+)\}/g, (_, name) => values[name] ?? '');
}

export const languageCode = () => t('language.code');

// when is a time as people write it here.
export function when(text) {
  return text ? new Intl.DateTimeFormat(languageCode(), { dateStyle: 'medium', timeStyle: 'short' }).format(new Date(text)) : t('never');
}
