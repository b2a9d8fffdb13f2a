//! Organizations, users and who belongs where.

use harbor_model::Timestamp;
use harbor_model::ids::{OrganizationId, RegionId, UserId};
use harbor_model::organizations::{MemberRole, Organization, User};
use rusqlite::{Connection, Row, Transaction, params};

use crate::{Store, StoreError, Writer, row};

impl Store {
    /// The organizations that a user belongs to, oldest first, each with the user's role.
    pub async fn organizations_of(&self, user: UserId) -> Result<Vec<(Organization, MemberRole)>, StoreError> {
        self.read(move |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT organization.*, member.role FROM organization
                 JOIN member ON member.organization = organization.id
                 WHERE member.user = ?1 ORDER BY organization.created_at, organization.id",
            )?;
            row::collect(&mut statement, params![user.as_str()], |found| Ok((read_organization(found)?, role(found)?)))
        })
        .await
    }

    /// The organization's members with their roles and the time they joined.
    pub async fn members_of(
        &self,
        organization: OrganizationId,
    ) -> Result<Vec<(User, MemberRole, Timestamp)>, StoreError> {
        self.read(move |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT user.*, member.role, member.joined_at FROM user JOIN member ON member.user = user.id
                 WHERE member.organization = ?1 ORDER BY member.joined_at, user.id",
            )?;
            row::collect(&mut statement, params![organization.to_string()], |found| {
                Ok((read_user(found)?, role(found)?, row::moment(found, "joined_at")?))
            })
        })
        .await
    }
}

impl Writer {
    /// Records a user with an organization of its own. One that is already there takes on `user`'s name and e-mail
    /// address; [`StoreError::NameTaken`] if that address is another user's. Answers the user's personal organization.
    pub async fn ensure_user(&self, user: User, personal: Organization) -> Result<Organization, StoreError> {
        self.write(move |transaction, _| {
            let mut statement = transaction.prepare_cached(
                "SELECT organization.* FROM organization JOIN member ON member.organization = organization.id
                 WHERE member.user = ?1 AND organization.personal = 1",
            )?;
            if let Some(found) = row::first(&mut statement, params![user.id.as_str()], read_organization)? {
                transaction
                    .prepare_cached(
                        "UPDATE user SET name = ?2, email = ?3 WHERE id = ?1 AND (name, email) <> (?2, ?3)",
                    )?
                    .execute(params![user.id.as_str(), user.name.as_str(), user.email])
                    .map_err(row::name_taken)?;
                return Ok(found);
            }
            insert_user(transaction, &user)?;
            insert_organization(transaction, &personal)?;
            Ok(personal)
        })
        .await
    }

    /// Records a new user with an organization of its own; id and e-mail address must be free, else
    /// [`StoreError::NameTaken`].
    pub async fn insert_user(&self, user: User, personal: Organization) -> Result<(), StoreError> {
        self.write(move |transaction, _| {
            insert_user(transaction, &user)?;
            insert_organization(transaction, &personal)
        })
        .await
    }

    /// Records a new organization, owned by the user who made it.
    pub async fn insert_organization(&self, organization: Organization) -> Result<(), StoreError> {
        self.write(move |transaction, _| insert_organization(transaction, &organization)).await
    }
}

fn insert_user(transaction: &Transaction<'_>, user: &User) -> Result<(), StoreError> {
    transaction
        .prepare_cached("INSERT INTO user VALUES (?1, ?2, ?3, ?4, ?5)")?
        .execute(params![
            user.id.as_str(),
            user.name.as_str(),
            user.email,
            user.administrator,
            row::milliseconds(user.created_at)
        ])
        .map_err(row::name_taken)?;
    Ok(())
}

fn insert_organization(transaction: &Transaction<'_>, organization: &Organization) -> Result<(), StoreError> {
    transaction.prepare_cached("INSERT INTO organization VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")?.execute(params![
        organization.id.to_string(),
        organization.name.as_str(),
        organization.created_by.as_str(),
        organization.personal,
        organization.default_region.as_str(),
        row::milliseconds(organization.created_at),
        row::milliseconds(organization.updated_at)
    ])?;
    transaction.prepare_cached("INSERT INTO member VALUES (?1, ?2, 'owner', ?3)")?.execute(params![
        organization.id.to_string(),
        organization.created_by.as_str(),
        row::milliseconds(organization.created_at)
    ])?;
    Ok(())
}

pub(crate) fn role(found: &Row<'_>) -> Result<MemberRole, StoreError> {
    match found.get_ref("role")?.as_str() {
        Ok("owner") => Ok(MemberRole::Owner),
        Ok("member") => Ok(MemberRole::Member),
        _ => Err(StoreError::Unreadable("role")),
    }
}

pub(crate) fn user_by_id(connection: &Connection, id: &UserId) -> Result<Option<User>, StoreError> {
    let mut statement = connection.prepare_cached("SELECT * FROM user WHERE id = ?1")?;
    row::first(&mut statement, params![id.as_str()], read_user)
}

fn read_user(found: &Row<'_>) -> Result<User, StoreError> {
    Ok(User {
        id: UserId::new(found.get::<_, String>("id")?),
        name: row::name(found, "name")?,
        email: found.get("email")?,
        administrator: found.get("administrator")?,
        created_at: row::moment(found, "created_at")?,
    })
}

fn read_organization(found: &Row<'_>) -> Result<Organization, StoreError> {
    Ok(Organization {
        id: row::parsed(found, "id")?,
        name: row::name(found, "name")?,
        created_by: UserId::new(found.get::<_, String>("created_by")?),
        personal: found.get("personal")?,
        default_region: RegionId::new(found.get::<_, String>("default_region")?),
        created_at: row::moment(found, "created_at")?,
        updated_at: row::moment(found, "updated_at")?,
    })
}
