"""The pages by which members are imported: a file is given, what it would do is shown, and then it is done."""

from flask import flash, g, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from flask_babel import lazy_gettext
from wtforms import HiddenField, SubmitField, TextAreaField
from wtforms.validators import Length

from auth import default_role, member_files, member_import
from auth.errors import InvalidImport, Throttled
from auth.forms import PageForm
from auth.member_import import Outcome, Preview
from auth.permissions import AccessPermission, requires
from auth.refusals import too_many
from auth.role_holders import label_of

MOST_SHOWN = 200
OUTCOMES = {
    Outcome.WRONG: lazy_gettext("Wrong"),
    Outcome.NEW: lazy_gettext("New"),
    Outcome.CHANGED: lazy_gettext("Changed"),
    Outcome.SAME: lazy_gettext("As it is"),
}
"""In the order in which they are shown: what stands in the way comes first."""


class ImportForm(PageForm):
    """The lines, as they are typed or were read from a file. The file is beside the fields."""

    text = TextAreaField(lazy_gettext("Lines"), validators=[Length(max=member_files.LARGEST)])
    seen = HiddenField()
    submit = SubmitField(lazy_gettext("Preview"))


@requires(AccessPermission.MEMBER_MANAGE)
def import_members() -> ResponseReturnValue:
    """Take a file, show what it would do, and do it once that was seen."""
    form = ImportForm()
    if form.validate_on_submit():
        seen = form.seen.data or ""
        try:
            text = _given(form)
            if not seen:
                return _preview(form, text, member_import.preview(text, actor=g.identity))
            done = member_import.apply(text, actor=g.identity, seen=seen)
        except InvalidImport as error:
            form.text.errors = [str(error)]
        except Throttled as error:
            form.form_errors = [too_many(error)]
        else:
            if not done.applied:
                flash(_("Something has changed since. Look at it again: nobody was imported."), "error")
                return _preview(form, text, done), 422
            new, changed = done.count(Outcome.NEW), done.count(Outcome.CHANGED)
            flash(_("The import is done: %(new)s new, %(changed)s changed.", new=new, changed=changed), "success")
            return redirect(url_for("members.list_members"))
    page = render_template(
        "admin/members_import.html",
        form=form,
        most=member_files.MOST_ROWS,
        largest=member_files.LARGEST // 1024,
        default=default_role.current(),
        label_of=label_of,
    )
    return page, 422 if form.is_submitted() else 200


def _given(form: ImportForm) -> str:
    """The text of the file, if there is one, or else what was typed. Raises InvalidImport."""
    file = request.files.get("file")
    if file is not None and file.filename:
        return member_files.decode(file.read(member_files.LARGEST + 1))
    return form.text.data or ""


def _preview(form: ImportForm, text: str, found: Preview) -> str:
    order = list(OUTCOMES)
    rows = sorted(found.rows, key=lambda row: order.index(row.outcome))
    form.text.data = text
    return render_template(
        "admin/members_preview.html",
        form=form,
        text=text,
        seen=found.seen,
        rows=rows[:MOST_SHOWN],
        total=len(rows),
        counts={outcome: (OUTCOMES[outcome], found.count(outcome)) for outcome in OUTCOMES},
        outcomes=OUTCOMES,
        default=default_role.current(),
        label_of=label_of,
    )
